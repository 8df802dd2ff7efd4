"""What Slicer's Python API really has, as data, and a checker that holds our code against it."""
