"""The lifecycles of a customer that `simulate` plays, as data, and what plays them."""
