"""Lives of customers as Polar tells them: scenarios whose deliveries are signed and sent to a running app."""
