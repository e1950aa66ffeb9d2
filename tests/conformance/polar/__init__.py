"""The stand-in Polar: lives of customers by scenario, its API beside them, and how it delivers events."""
