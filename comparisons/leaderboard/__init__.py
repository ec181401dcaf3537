"""Which model is best, by everybody's votes: the ballots, the ratings they amount to, and the board that shows them.

`ratings` needs numpy, which a web process should not wait for when it starts: `board` imports it when somebody looks at
a leaderboard.
"""
