"""The door: the Open Inference Protocol and the OpenAI API from one process and one configuration."""
