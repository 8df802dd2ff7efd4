"""CT volumes, vertebra masks, PSR crops and the exact way back to the CT grid."""
