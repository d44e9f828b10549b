"""How a transaction is written: changes collected as values, grouped, answered once, with before and after."""
