"""How the party answers to marketing: contacts, responses, what was taken up."""

from typing import Final

from features.windows import Metric, WindowView, over, share

_CONTACT: Final = Metric("contact", "CASE WHEN treated THEN 1 END", "contacts", "Contacts by campaigns")
_CALL: Final = Metric("call", "CASE WHEN treated AND channel = 'call' THEN 1 END", "contacts", "Contacts by telephone")
_RESPONSE: Final = Metric("response", "CASE WHEN treated AND responded THEN 1 END", "contacts", "Contacts answered")
_TAKE_UP: Final = Metric("take_up", "CASE WHEN took_up THEN 1 END", "campaigns", "Campaigns after which it bought")

MARKETING: Final = WindowView(
    name="marketing",
    table="contacts",
    row_id="campaign_id",
    windowed=(
        *over(_CONTACT, "count", (90, 180, 360), risk=0),
        *over(_CONTACT, "days_since", (360,), risk=0),
        *over(_CALL, "count", (360,), risk=0),
        *over(_RESPONSE, "count", (180, 360, 720), risk=0),
        *over(_RESPONSE, "days_since", (720,), risk=0),
        *over(_TAKE_UP, "count", (360, 720), risk=0),
    ),
    derived=(
        share(
            "response_share_360d", "response_count_360d", "contact_count_360d",
            risk=0, description="Share of the contacts of 360 days that were answered",
        ),
    ),
)  # fmt: skip
