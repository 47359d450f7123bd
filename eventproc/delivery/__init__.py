"""What touches the network and the clock: engines, sender, producer, and the joint to Faust."""
