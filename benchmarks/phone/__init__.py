"""Exported models on an Android phone: through adb, or as measured by the app."""
