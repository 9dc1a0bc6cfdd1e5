"""Readers of the files and console lines of CGRateS users."""
