"""The panel of ipywidgets: publish, run, score a CSV and watch trainings in any notebook front end."""
