"""Whether a tutor is one: replies predicted, judged, measured, and two systems compared. No torch."""
