"""The console, for people: asks the system for what a page shows, and answers with it.

frame   what every page knows of the trail and of this server
search  the newest events at once, and counts for as long as they may (tally)
integrity  what was looked at and found, and a verification as it comes (verifying)
report  the audit report of a period, here and for the command line
completeness  how each node's ledger went
regions how each stands, what was received and how far it has come, the last days
alerts  what is wrong, and what was
event   an event, its proof checked here, its copies, its neighbours
asking  questions that may take long
routes  which path is which page, the sheet, the script and the sign
"""
