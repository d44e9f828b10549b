"""Attempts beside the booking that each runs inside, for statements that ask until when that one pays."""

from sqlalchemy import and_

from scheduler.adapters.sql.tables.workloads import attempts

bookings = attempts.alias("bookings")
"""A booking has one attempt: joined by `is_inside`, an attempt has one of these, or none."""

is_inside = and_(bookings.c.workload_id == attempts.c.booking_id, attempts.c.booking_id != attempts.c.workload_id)

booked_until = bookings.c.launched_at + bookings.c.time_limit_ms
"""`Attempt.booked_until` of it."""
