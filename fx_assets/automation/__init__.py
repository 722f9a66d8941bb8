"""Jobs and sensors: decisions that must be recorded, such as a retraining because of drift."""
