"""The console, for people: asks the system for what a page shows, and answers with it.

frame   what every page knows of the trail and of this server
routes  which path is which page, the sheet, the script and the sign
"""
