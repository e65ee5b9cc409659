"""Applications, facilities, loans, instalments, repayments, monthly statements and defaults of a partition."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.sources.simulated.columns import amounts, constant, dates, instants, numbered, texts, to_cents
from features.sources.simulated.credit_state import DEFAULTED
from features.sources.simulated.partition import DAY, HOUR, Partition
from features.sources.simulated.plan import BUSINESSES, CURRENCY, MONTHS

_STATEMENT_DAY: Final = 24
_BEHAVIOURS: Final = ("no_use", "paid_in_full", "revolving", "late")
_GRADES: Final = ("normal", "special_mention", "substandard", "doubtful", "loss")
_PURPOSES: Final = ("consumption", "working_capital", "equipment", "trade", "housing", "education")
_CHANNELS: Final = ("branch", "mobile_app", "partner", "web")
_RECOVERY: Final = {"credit": -0.8, "guarantee": 0.3, "ownership_retained": 0.8, "receivables": 0.1}
"""Log-odds of the share that is recovered after a default, by what secures a loan."""


@dataclass(frozen=True)
class Lending:
    """The loans behind each active customer-month; arrays of one entry a customer-month."""

    partition: Partition

    @cached_property
    def rng(self) -> np.random.Generator:
        """Random numbers of this subject."""
        return self.partition.rng("lending")

    @cached_property
    def loan_number(self) -> npt.NDArray[np.int64]:
        """Which loan of the customer the month belongs to, from 1; a revolving line is one loan throughout."""
        customer, month = self.partition.active
        customers = self.partition.customers
        age = month - customers.start_month[customer]
        return np.where(self.revolving[customer], 1, 1 + age // customers.term_months[customer])

    @cached_property
    def revolving(self) -> npt.NDArray[np.bool_]:
        """Whether each customer's product revolves."""
        return np.array([business.revolving for business in BUSINESSES])[self.partition.customers.business]

    @cached_property
    def loan(self) -> npt.NDArray[np.int64]:
        """Index of the month's loan among ``loan_ids``."""
        return self._loans[1]

    @cached_property
    def loan_ids(self) -> list[str]:
        """Identifiers of the loans in the history."""
        customer, number = self.loan_customer, self._loans[0] % 1_000
        ids = self.partition.customer_ids
        return [f"{ids[owner]}L{nth}" for owner, nth in zip(customer, number, strict=True)]

    @cached_property
    def loan_customer(self) -> npt.NDArray[np.int64]:
        """Customer of each loan."""
        return np.asarray(self._loans[0] // 1_000)

    @cached_property
    def _loans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        keys, loan = np.unique(self.partition.active[0] * 1_000 + self.loan_number, return_inverse=True)
        return keys, loan

    @cached_property
    def opened_month(self) -> npt.NDArray[np.int64]:
        """Month of drawdown of each loan; negative for those drawn before the history."""
        customers = self.partition.customers
        number = self._loans[0] % 1_000
        return np.asarray(
            customers.start_month[self.loan_customer] + (number - 1) * customers.term_months[self.loan_customer]
        )

    @cached_property
    def opened(self) -> npt.NDArray[np.int64]:
        """Instant of drawdown of each loan, in the first days of its month, in microseconds."""
        calendar = self.partition.month_starts
        within = np.clip(self.opened_month, 0, None)
        # Months before the history are taken as 30.44 days each: only the age of such loans matters.
        before = np.minimum(self.opened_month, 0) * int(30.44 * DAY)
        return np.asarray(calendar[within] + before + self.rng.integers(8, 60, len(self.opened_month)) * HOUR)

    @cached_property
    def declined(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Customers of declined applications, more often those who look risky; month and hour within it of each."""
        parties, customers = self.partition.parties, self.partition.customers
        refusal = 1 / (1 + np.exp(1.2 - 0.9 * (parties.risk[customers.party] + 0.3)))
        refused = np.flatnonzero(self.rng.random(len(customers)) < refusal)
        month = self.rng.integers(0, MONTHS, len(refused))
        return refused, month, self.rng.integers(0, 27 * 24, len(refused))

    @cached_property
    def declined_ids(self) -> pa.Array:
        """Identifiers of the declined applications; those of granted ones come before them."""
        granted, declined = len(self.loan_customer), len(self.declined[0])
        return numbered("AP", self.partition.row_numbers(granted + declined)[granted:], 12)

    def tables(self) -> dict[str, pa.Table]:
        """All lending tables of the partition."""
        return {
            "facilities": self._facilities(),
            "loans": self._loan_table(),
            "applications": self._applications(),
            **self._monthly(),
        }

    def _company(self, customer: npt.NDArray[np.int64]) -> pa.Array:
        codes = [business.legal_entity for business in BUSINESSES]
        return texts(self.partition.customers.business[customer], codes)

    def _customer_ids(self, customer: npt.NDArray[np.int64]) -> pa.Array:
        return texts(customer, self.partition.customer_ids)

    def _facilities(self) -> pa.Table:
        # One limit for each customer who ever borrowed, granted with the first loan in sight.
        customer, first = np.unique(self.loan_customer, return_index=True)
        granted = self.opened[first] - 2 * DAY
        ids = [f"{self.partition.customer_ids[owner]}F" for owner in customer]
        return pa.table({
            "legal_entity": self._company(customer),
            "facility_id": pa.array(ids),
            "customer_id": self._customer_ids(customer),
            "product": texts(self.partition.customers.business[customer], [b.product for b in BUSINESSES]),
            "credit_limit": amounts(to_cents(self.partition.customers.limit[customer])),
            "currency": constant(CURRENCY, len(customer)),
            "event_timestamp": instants(granted),
            "created_timestamp": instants(granted + HOUR),
        })  # fmt: skip

    def _loan_table(self) -> pa.Table:
        customer = self.loan_customer
        customers = self.partition.customers
        business = customers.business[customer]
        last = np.zeros(len(customer), np.int64)
        np.maximum.at(last, self.loan, self.partition.active[1])
        final_arrears = self.partition.history.arrears[customer, last]
        rate = np.array([b.rate_per_annum for b in BUSINESSES])[business]
        rate = np.round(rate + 0.01 * self.rng.standard_normal(len(customer)), 4)
        drawn = {
            "rows": np.arange(len(customer)), "when": self.opened, "status": 0, "grade": np.zeros(len(customer), int),
        }  # fmt: skip
        ended = np.flatnonzero(last < MONTHS - 1)
        defaulted = final_arrears[ended] >= DEFAULTED
        closed = {
            "rows": ended,
            "when": self.partition.month_starts[last[ended]] + (_STATEMENT_DAY + 3) * DAY,
            "status": np.where(defaulted, 2, 1),
            "grade": np.where(defaulted, 2, 0),
        }
        rows = np.concatenate([drawn["rows"], closed["rows"]])
        when = np.concatenate([drawn["when"], closed["when"]])
        status = np.concatenate([np.zeros(len(customer), int), closed["status"]])
        grade = np.concatenate([drawn["grade"], closed["grade"]])
        facility_ids = [f"{self.partition.customer_ids[owner]}F" for owner in customer]
        revolving = self.revolving[customer]
        return pa.table({
            "legal_entity": self._company(customer[rows]),
            "loan_id": texts(rows, self.loan_ids),
            "facility_id": texts(rows, facility_ids),
            "customer_id": self._customer_ids(customer[rows]),
            "product": texts(business[rows], [b.product for b in BUSINESSES]),
            "principal": amounts(to_cents(customers.limit[customer])[rows]),
            "currency": constant(CURRENCY, len(rows)),
            "rate_per_annum": pa.array(rate[rows]),
            "term_months": pa.array(customers.term_months[customer][rows].astype(np.int32), mask=revolving[rows]),
            "guarantee_type": texts(business[rows], [b.guarantee_type for b in BUSINESSES]),
            "status": texts(status, ("active", "settled", "defaulted")),
            "five_class_grade": texts(grade, _GRADES),
            "event_timestamp": instants(when),
            "created_timestamp": instants(when + 2 * HOUR),
        })  # fmt: skip

    def _applications(self) -> pa.Table:
        """One granted application a loan, and declined ones."""
        customers = self.partition.customers
        refused, month, hour = self.declined
        customer = np.concatenate([self.loan_customer, refused])
        when = np.concatenate([self.opened - 3 * DAY, self.partition.month_starts[month] + hour * HOUR])
        outcome = np.concatenate([np.zeros(len(self.loan_customer), int), np.ones(len(refused), int)])
        asked = np.maximum(
            np.round(customers.limit[customer] * np.exp(0.2 * self.rng.standard_normal(len(customer)))), 500
        )
        return pa.table({
            "legal_entity": self._company(customer),
            "application_id": numbered("AP", self.partition.row_numbers(len(customer)), 12),
            "customer_id": self._customer_ids(customer),
            "product": texts(customers.business[customer], [b.product for b in BUSINESSES]),
            "amount": amounts(to_cents(asked)),
            "currency": constant(CURRENCY, len(customer)),
            "term_months": pa.array(customers.term_months[customer].astype(np.int32)),
            "purpose": texts(self.rng.integers(0, len(_PURPOSES), len(customer)), _PURPOSES),
            "channel": texts(self.rng.integers(0, len(_CHANNELS), len(customer)), _CHANNELS),
            "outcome": texts(outcome, ("approved", "declined")),
            "event_timestamp": instants(when),
            "created_timestamp": instants(when + HOUR // 60),
        })  # fmt: skip

    def _monthly(self) -> dict[str, pa.Table]:
        customer, month = self.partition.active
        customers, parties = self.partition.customers, self.partition.parties
        rows = len(customer)
        stress = self.partition.stress_values
        ability = parties.ability[customers.party[customer]]
        arrears = self.partition.history.arrears[customer, month].astype(np.int64)
        missed = self.partition.history.missed[customer, month]
        revolving = self.revolving[customer]
        limit = customers.limit[customer]
        used = _utilisation(stress, ability, arrears, self.rng)
        term = customers.term_months[customer]
        instalment_number = 1 + (month - customers.start_month[customer]) % term
        left = np.clip(1 - (instalment_number - arrears - 1) / term, 0, 1)
        rate = np.array([b.rate_per_annum for b in BUSINESSES])[customers.business[customer]]

        balance = np.where(revolving, np.where(used < 0.04, 0.0, used * limit), left * limit)
        interest = balance * rate / 12
        principal_due = np.where(revolving, 0.05 * balance, limit / term)
        overdue = arrears * (principal_due + interest)
        share_paid = np.clip(0.35 + 0.22 * ability - 0.20 * stress + 0.30 * self.rng.standard_normal(rows), 0.06, 1.0)
        in_full = share_paid >= 0.85
        paid_revolving = np.where(in_full, balance, np.maximum(share_paid * balance, principal_due + interest))
        partly = np.where(self.rng.random(rows) < 0.2, 0.3 * (principal_due + interest), 0.0)
        paid = np.where(missed, partly, np.where(revolving, paid_revolving, principal_due + interest + overdue))
        behaviour = np.where(arrears > 0, 3, np.where(balance == 0, 0, np.where(revolving & ~in_full, 2, 1)))

        slips = self.rng.random(rows) < 1 / (1 + np.exp(3.4 - 0.6 * stress + 0.4 * ability))
        days_past_due = 30 * arrears + np.where(
            (arrears == 0) & slips & (balance > 0), self.rng.integers(1, 12, rows), 0
        )
        due = self.partition.month_starts[month] + (_STATEMENT_DAY - 6) * DAY
        stated = self.partition.month_starts[month] + _STATEMENT_DAY * DAY
        late = np.where(self.rng.random(rows) < 0.01, self.rng.integers(5, 20, rows), 1)
        known = stated + late * DAY
        key = {
            "legal_entity": self._company(customer),
            "customer_id": self._customer_ids(customer),
            "loan_id": texts(self.loan, self.loan_ids),
        }
        currency = constant(CURRENCY, rows)
        statements = pa.table({
            **key,
            "statement_balance": amounts(to_cents(balance)),
            "amount_due": amounts(to_cents(principal_due + interest + overdue)),
            "amount_paid": amounts(to_cents(paid)),
            "credit_limit": amounts(to_cents(limit)),
            "currency": currency,
            "days_past_due": pa.array(days_past_due.astype(np.int32)),
            "payment_behaviour": texts(behaviour, _BEHAVIOURS),
            "event_timestamp": instants(stated),
            "created_timestamp": instants(known),
        })  # fmt: skip
        schedule = pa.table({
            **key,
            "instalment_number": pa.array((month - customers.start_month[customer] + 1).astype(np.int32)),
            "due_date": dates(due),
            "principal_due": amounts(to_cents(principal_due)),
            "interest_due": amounts(to_cents(interest)),
            "fee_due": amounts(np.zeros(rows, np.int64)),
            "currency": currency,
            "event_timestamp": instants(self.partition.month_starts[month]),
            "created_timestamp": instants(self.partition.month_starts[month]),
        })  # fmt: skip
        pays = np.flatnonzero(paid > 0)
        penalty = np.where(days_past_due > 0, 0.0005 * days_past_due * principal_due, 0.0)
        paid_at = due - self.rng.integers(0, 5 * 24, rows) * HOUR + np.minimum(days_past_due, 20) * DAY // 4
        repayments = pa.table({
            "legal_entity": key["legal_entity"].take(pays),
            "customer_id": key["customer_id"].take(pays),
            "loan_id": key["loan_id"].take(pays),
            "repayment_id": numbered("R", self.partition.row_numbers(len(pays)), 12),
            "principal_paid": amounts(to_cents(np.maximum(paid - interest - penalty, 0))[pays]),
            "interest_paid": amounts(to_cents(np.minimum(interest, paid))[pays]),
            "fee_paid": amounts(np.zeros(len(pays), np.int64)),
            "penalty_paid": amounts(to_cents(np.minimum(penalty, np.maximum(paid - interest, 0)))[pays]),
            "currency": currency.take(pays),
            "event_timestamp": instants(paid_at[pays]),
            "created_timestamp": instants(paid_at[pays] + HOUR),
        })  # fmt: skip
        recovered = self._recoveries(balance)
        in_default = np.flatnonzero(arrears >= DEFAULTED)
        defaults = pa.table({
            "legal_entity": key["legal_entity"].take(in_default),
            "customer_id": key["customer_id"].take(in_default),
            "loan_id": key["loan_id"].take(in_default),
            "reason": constant("90_days_past_due", len(in_default)),
            "event_timestamp": instants(stated[in_default]),
            "created_timestamp": instants(known[in_default]),
        })  # fmt: skip
        repayments = pa.concat_tables([repayments, recovered.cast(repayments.schema)])
        return {"statements": statements, "schedule": schedule, "repayments": repayments, "defaults": defaults}

    def _recoveries(self, balance: npt.NDArray[np.float64]) -> pa.Table:
        """What is paid on loans in default, in equal parts over the year after: more where something secures them."""
        cells, share = self.recovered_shares
        rng = self.recovery_rng
        first = rng.integers(1, 4, len(cells))
        parts = rng.integers(2, 9, len(cells))
        case = np.repeat(np.arange(len(cells)), parts)
        nth = np.arange(len(case)) - np.repeat(np.cumsum(parts) - parts, parts)
        month = self.partition.active[1][cells][case] + first[case] + nth
        amount = (share * balance[cells] / parts)[case]
        seen = np.flatnonzero((month < MONTHS) & (amount >= 1.0))
        case, month, amount = case[seen], month[seen], amount[seen]
        customer = self.partition.active[0][cells][case]
        paid_at = self.partition.month_starts[month] + rng.integers(0, 27 * 24, len(case)) * HOUR
        nothing = amounts(np.zeros(len(case), np.int64))
        return pa.table({
            "legal_entity": self._company(customer),
            "customer_id": self._customer_ids(customer),
            "loan_id": texts(self.loan[cells][case], self.loan_ids),
            "repayment_id": numbered("V", self.partition.row_numbers(len(case)), 12),
            "principal_paid": amounts(to_cents(amount)),
            "interest_paid": nothing,
            "fee_paid": nothing,
            "penalty_paid": nothing,
            "currency": constant(CURRENCY, len(case)),
            "event_timestamp": instants(paid_at),
            "created_timestamp": instants(paid_at + HOUR),
        })  # fmt: skip

    @cached_property
    def recovered_shares(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Customer-months of default, and the share of what was owed then that is recovered at last.

        Its log-odds rise with what secures the loan and with ability; the rest nobody can know.
        """
        cells = np.flatnonzero(self.partition.history.arrears[self.partition.active] >= DEFAULTED)
        customer = self.partition.active[0][cells]
        customers = self.partition.customers
        secured = np.array([_RECOVERY[business.guarantee_type] for business in BUSINESSES])
        ability = self.partition.parties.ability[customers.party[customer]]
        noise = self.recovery_rng.standard_normal(len(cells))
        index = secured[customers.business[customer]] + 0.5 * ability + 0.7 * noise
        return cells, 1 / (1 + np.exp(-index))

    @cached_property
    def recovery_rng(self) -> np.random.Generator:
        """Random numbers of what comes after a default."""
        return self.partition.rng("recoveries")


def _utilisation(
    stress: npt.NDArray[np.float64],
    ability: npt.NDArray[np.float64],
    arrears: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Share of the limit in use: more under stress and in arrears, less for those who can pay."""
    index = -0.4 + 0.55 * stress - 0.45 * ability + 0.9 * arrears + 0.6 * rng.standard_normal(len(stress))
    return np.asarray(1.05 / (1 + np.exp(-index)))
