"""The exported models on an Android phone: driven through adb, or told by the app."""
