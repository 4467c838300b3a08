"""The real broker and real processes, broken on purpose, judged bit for bit.

python -m tests.chaos.run --seed 1 --minutes 5
"""
