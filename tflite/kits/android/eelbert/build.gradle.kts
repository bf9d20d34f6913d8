plugins {
    id("com.android.library")
}

android {
    namespace = "eelbert.android"
    compileSdk = 36

    defaultConfig {
        minSdk = 21
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:1.4.2")
}
