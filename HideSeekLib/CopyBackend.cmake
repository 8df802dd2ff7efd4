# Copy the backend's package without its tests and without what builds and runs leave behind.
# Run with -DSOURCE=... -DDESTINATION=...
get_filename_component(parent ${DESTINATION} DIRECTORY)
file(REMOVE_RECURSE ${DESTINATION})
file(COPY ${SOURCE}
  DESTINATION ${parent}
  PATTERN "tests" EXCLUDE
  PATTERN "hideseek_lab" EXCLUDE  # researchers only: training, benchmarks, comparators, cohorts
  PATTERN "build" EXCLUDE
  PATTERN "dist" EXCLUDE
  PATTERN "__pycache__" EXCLUDE
  PATTERN "*.egg-info" EXCLUDE
  PATTERN ".*" EXCLUDE
  )
