"""What each company may know of each party it could offer something to, as of an instant."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from features import query
from training.frames import LATEST_STATEMENT_DAYS
from training.whitelist.plan import WhitelistPlan

_NEEDED: Final = ("customers", "parties", "statements", "defaults")
_OPTIONAL: Final = {
    "contacts": ("legal_entity VARCHAR", "customer_id VARCHAR", "treated BOOLEAN"),
    "applications": ("legal_entity VARCHAR", "customer_id VARCHAR", "outcome VARCHAR"),
    "loans": (
        "legal_entity VARCHAR", "customer_id VARCHAR", "loan_id VARCHAR", "product VARCHAR", "status VARCHAR",
    ),
}  # fmt: skip
_INSTANTS: Final = ("event_timestamp TIMESTAMPTZ", "created_timestamp TIMESTAMPTZ", "superseded_at TIMESTAMPTZ")


def prospect_facts(
    canonical: Path, plan: WhitelistPlan, as_of: datetime, known_at: datetime, listed: pl.DataFrame
) -> pl.DataFrame:
    """A row for each company of the plan and each party that it may see.

    A company sees its own customers, and those of the others who agreed to sharing within the group. Where it knows a
    party itself, it goes by its own record; otherwise by the latest that it may see.

    Args:
        canonical: the loaded tables.
        plan: the companies and the days of its rules.
        as_of: what was known then.
        known_at: contacts are counted that were known by then: they are delivered with their outcomes, weeks later.
        listed: contacts by earlier lists: ``legal_entity, party_id, event_timestamp``.

    Returns:
        ``legal_entity`` (that offers), ``party_id``, ``source`` (the company whose record it is), ``customer_id``
        (there), ``own`` (whether that is the offering company), ``kind``, ``age_years``, ``region`` (GB/T 2260
        province), ``industry`` (GB/T 4754 section), ``marketing_consent``, ``contacts``, ``declined``,
        ``days_past_due``, ``defaulted``, ``held`` (products that it has of the company); by company and party.
    """
    rules = plan.rules
    parameters: dict[str, Any] = {
        "as_of": as_of,
        "known_at": known_at,
        "contacts_from": as_of - timedelta(days=rules.within_days),
        "declined_from": as_of - timedelta(days=rules.cooling_off_days),
        "statements_from": as_of - timedelta(days=LATEST_STATEMENT_DAYS),
    }
    parameters |= {name: f"{canonical}/{name}/*.parquet" for name in _NEEDED}
    tables = {}
    for name, columns in _OPTIONAL.items():
        if any((canonical / name).glob("*.parquet")):
            parameters[name] = f"{canonical}/{name}/*.parquet"
            tables[name] = f"read_parquet(${name})"
        else:
            nulls = ", ".join(f"NULL::{kind} AS {column}" for column, kind in map(str.split, (*columns, *_INSTANTS)))
            tables[name] = f"(SELECT {nulls} WHERE false)"
    companies = pl.DataFrame({"legal_entity": plan.companies})
    return query(_FACTS_SQL.format(**tables), parameters, companies=companies, listed=listed)


# Materialised, so that no plan joins customers and records by their company alone before it knows whose they are.
_FACTS_SQL: Final = """
WITH records AS MATERIALIZED (
    SELECT customers.*, parties.party_id
    FROM read_parquet($customers) AS customers
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE customers.event_timestamp <= $as_of
      AND customers.created_timestamp <= $as_of
      AND (customers.superseded_at IS NULL OR customers.superseded_at > $as_of)
    QUALIFY row_number() OVER (
        PARTITION BY customers.legal_entity, customers.customer_id ORDER BY customers.event_timestamp DESC
    ) = 1
),
visible AS MATERIALIZED (
    SELECT
        companies.legal_entity AS offering, records.party_id, records.legal_entity AS source, records.customer_id,
        records.legal_entity = companies.legal_entity AS own, records.kind, records.birth_or_founding_date,
        records.region, records.industry, records.marketing_consent, records.event_timestamp
    FROM records
    JOIN companies ON records.legal_entity = companies.legal_entity OR records.share_within_group_consent
),
chosen AS (
    SELECT *
    FROM visible
    QUALIFY row_number() OVER (
        PARTITION BY offering, party_id ORDER BY own DESC, event_timestamp DESC, source, customer_id
    ) = 1
),
made AS (
    SELECT visible.offering, visible.party_id, count(*) AS contacts
    FROM {contacts} AS contacts
    JOIN visible ON visible.source = contacts.legal_entity AND visible.customer_id = contacts.customer_id
    WHERE contacts.treated
      AND contacts.event_timestamp > $contacts_from AND contacts.event_timestamp <= $as_of
      AND contacts.created_timestamp <= $known_at
      AND (contacts.superseded_at IS NULL OR contacts.superseded_at > $known_at)
    GROUP BY ALL
),
listed_before AS (
    SELECT chosen.offering, chosen.party_id, count(*) AS contacts
    FROM listed
    JOIN chosen USING (party_id)
    WHERE listed.event_timestamp > $contacts_from
      -- A list of another company is seen by whoever may see the party there.
      AND EXISTS (
          SELECT 1 FROM visible
          WHERE visible.offering = chosen.offering AND visible.party_id = listed.party_id
            AND (visible.source = listed.legal_entity OR listed.legal_entity = chosen.offering)
      )
    GROUP BY ALL
),
declined AS (
    SELECT DISTINCT visible.offering, visible.party_id
    FROM {applications} AS applications
    JOIN visible ON visible.source = applications.legal_entity AND visible.customer_id = applications.customer_id
    WHERE applications.outcome = 'declined'
      AND applications.event_timestamp > $declined_from AND applications.event_timestamp <= $as_of
      AND applications.created_timestamp <= $as_of
      AND (applications.superseded_at IS NULL OR applications.superseded_at > $as_of)
),
late AS (
    SELECT visible.offering, visible.party_id, max(statements.days_past_due) AS days_past_due
    FROM read_parquet($statements) AS statements
    JOIN visible ON visible.source = statements.legal_entity AND visible.customer_id = statements.customer_id
    WHERE statements.event_timestamp > $statements_from AND statements.event_timestamp <= $as_of
      AND statements.created_timestamp <= $as_of
      AND (statements.superseded_at IS NULL OR statements.superseded_at > $as_of)
    GROUP BY ALL
),
failed AS (
    SELECT DISTINCT visible.offering, visible.party_id
    FROM read_parquet($defaults) AS defaults
    JOIN visible ON visible.source = defaults.legal_entity AND visible.customer_id = defaults.customer_id
    WHERE defaults.event_timestamp <= $as_of AND defaults.created_timestamp <= $as_of
      AND (defaults.superseded_at IS NULL OR defaults.superseded_at > $as_of)
),
running AS (
    SELECT loans.legal_entity, loans.customer_id, loans.product
    FROM {loans} AS loans
    WHERE loans.event_timestamp <= $as_of AND loans.created_timestamp <= $as_of
      AND (loans.superseded_at IS NULL OR loans.superseded_at > $as_of)
    QUALIFY row_number() OVER (
        PARTITION BY loans.legal_entity, loans.loan_id ORDER BY loans.event_timestamp DESC
    ) = 1 AND loans.status = 'active'
),
held AS (
    SELECT visible.offering, visible.party_id, list_sort(list_distinct(list(running.product))) AS products
    FROM running
    JOIN visible
      ON visible.own AND visible.source = running.legal_entity AND visible.customer_id = running.customer_id
    GROUP BY ALL
)
SELECT
    chosen.offering AS legal_entity, chosen.party_id, chosen.source, chosen.customer_id, chosen.own, chosen.kind,
    datediff('day', chosen.birth_or_founding_date, $as_of::DATE) / 365.25 AS age_years,
    coalesce(left(chosen.region, 2), '') AS region,
    coalesce(left(chosen.industry, 1), '') AS industry,
    chosen.marketing_consent,
    coalesce(made.contacts, 0) + coalesce(listed_before.contacts, 0) AS contacts,
    declined.party_id IS NOT NULL AS declined,
    coalesce(late.days_past_due, 0) AS days_past_due,
    failed.party_id IS NOT NULL AS defaulted,
    coalesce(held.products, []) AS held
FROM chosen
LEFT JOIN made USING (offering, party_id)
LEFT JOIN listed_before USING (offering, party_id)
LEFT JOIN declined USING (offering, party_id)
LEFT JOIN late USING (offering, party_id)
LEFT JOIN failed USING (offering, party_id)
LEFT JOIN held USING (offering, party_id)
ORDER BY legal_entity, party_id
"""
