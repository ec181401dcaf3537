"""Which model is best, by everybody's votes: the ballots, the ratings they amount to, and the board that shows them.

`ratings` needs numpy, which takes a web process a tenth of a second and tens of megabytes: `board` imports it when
somebody looks at a leaderboard, and nothing else does.
"""
