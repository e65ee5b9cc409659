"""One customer across the group: who is the same person or company, who owns whom, and what an officer ruled.

Rules that are certain come first; what they leave is linked by probability; what is neither sure nor unlikely waits
for an officer. A wrong merge would show one person another's debts, so in doubt records stay apart.
"""
