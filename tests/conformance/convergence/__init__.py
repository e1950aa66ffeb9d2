"""Convergence: made-up lives of customers, in any order, at each store's own code and SQL."""
