"""How trackers hold and shake, on sequences made on the spot and on videos."""
