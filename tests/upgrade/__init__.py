"""What earlier versions stored is read by this one as it was: see ``frozen``."""
