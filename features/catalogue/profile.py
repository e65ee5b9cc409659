"""Who the party is: the customer's record as the company knows it. Gender and marital status are no features.

They are kept in the customers table for fairness reports.
"""

from typing import Final

from features.windows import Derived, ProfileView

PROFILE: Final = ProfileView("profile", (
    Derived("is_enterprise", "kind = 'enterprise'", "0 or 1", 0, "The party is an enterprise"),
    Derived(
        "age_years",
        "datediff('month', birth_or_founding_date, $as_of_date) / 12.0",
        "years", 0, "Age of the person, or of the enterprise since its founding",
    ),
    Derived("income_per_month", "income_per_month", "CNY", -1, "Stated monthly income or revenue"),
    Derived(
        "education_level",
        "CASE education WHEN 'primary' THEN 1 WHEN 'secondary' THEN 2 WHEN 'bachelor' THEN 3 "
        "WHEN 'postgraduate' THEN 4 WHEN 'other' THEN 0 END",
        "1 to 4, 0 for other", 0, "Level of education",
    ),
    Derived(
        "enterprise_size_level",
        "CASE enterprise_size WHEN 'micro' THEN 1 WHEN 'small' THEN 2 WHEN 'medium' THEN 3 WHEN 'large' THEN 4 END",
        "1 to 4", -1, "Size class of the enterprise",
    ),
    Derived("industry_section", "ascii(industry) - 64", "1 (A) to 20 (T)", 0, "Section of GB/T 4754"),
    Derived(
        "relationship_months",
        "(epoch_us($as_of) - epoch_us(event_timestamp)) // 2629800000000",
        "months", 0, "Months since the company's current record of the customer",
    ),
    Derived("companies", "companies", "companies", 0, "Companies of the group the party deals with, as far as seen"),
))  # fmt: skip
