"""How far a judge can be believed: its verdicts beside labels that people gave."""
