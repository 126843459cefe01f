// Not run by the project's own checks: `make android-check` compiles and tests the same sources without Gradle.
plugins {
    id("org.jetbrains.kotlin.jvm") version "2.4.20" apply false
}
