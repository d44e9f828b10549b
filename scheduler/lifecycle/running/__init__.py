"""An attempt from launch to its confirmed end: observed, recorded, acted on, kept, charged, told of."""
