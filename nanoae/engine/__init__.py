"""The hand-written network. It never imports a device: it calls the ops it is given."""
