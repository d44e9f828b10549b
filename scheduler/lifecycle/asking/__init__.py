"""What people ask for: work, arrays, bookings, more time; judged before it is queued."""
