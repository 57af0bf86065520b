"""What was claimed or asked in the mail threads, and the scenarios that settle it.

``claim`` says what a claim is and how it is judged; the other modules hold the claims, one module
a thread. Nothing here states a verdict: a claim is as true as its scenarios turn out.
"""

from .claim import Case, Claim, Judgement, judge
from .registry import all_claims, find_claims

__all__ = ["Case", "Claim", "Judgement", "all_claims", "find_claims", "judge"]
