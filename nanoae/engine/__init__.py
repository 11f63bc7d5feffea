"""The hand-written network. It never imports a device backend: it calls the Ops object it is given."""
