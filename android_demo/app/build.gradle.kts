// Not run by the project's own checks: `make android-check` compiles the same sources against the platform's published
// API and stubs of LiteRT. See android_demo/README.md.
plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// The exported files; `make export-tflite` writes them.
val models = tasks.register<Copy>("copyModels") {
    from(rootDir.resolve("../dist")) { include("*.tflite") }
    into(layout.buildDirectory.dir("assets/models"))
}

android {
    namespace = "atpn.demo"
    compileSdk = 35

    defaultConfig {
        applicationId = "atpn.demo"
        minSdk = 26
        targetSdk = 35
        versionCode = 2
        versionName = "0.2.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("assets"))
    androidResources.noCompress += "tflite"
}

kotlin.compilerOptions.jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8)

tasks.named("preBuild") { dependsOn(models) }

dependencies {
    implementation(project(":core"))
    implementation("com.google.ai.edge.litert:litert:1.4.0")
    implementation("com.google.ai.edge.litert:litert-gpu:1.4.0")
    implementation("com.google.ai.edge.litert:litert-gpu-api:1.4.0")
}
