"""Pages of the commands about dates: follow-up, worksheet. Slicer shows it in its panel."""
