"""The only room that imports aiokafka: consumer, producer, topics, and what its errors mean."""
