"""What is kept free: for who is first in line, for bookings, for promised quota."""
