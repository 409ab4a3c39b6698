"""Reviews: cases that wait for people, who has claimed them, what was ruled, and what that adds up to.

`trail` holds what happened, hash-chained; `state` what it adds up to for a case; `cases`, `claims` and `rulings` are
what programs and people do; `labels`, `agreement` and `sampling` what is learned of it.
"""
