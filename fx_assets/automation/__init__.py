"""What runs by itself: schedules and sensors from one table (automation.yaml), and the jobs that only they ask for."""
