"""What both sides of the wire share: levels, records, columns, arrays, message words."""
