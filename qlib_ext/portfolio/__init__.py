"""What to hold: what is known at the close of a day, constraints, the solver, orders, exchange and what came of it."""
