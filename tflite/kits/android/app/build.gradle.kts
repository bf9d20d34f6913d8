plugins {
    id("com.android.application")
}

android {
    namespace = "eelbert.demo"
    compileSdk = 36

    defaultConfig {
        applicationId = "eelbert.demo"
        minSdk = 21
        targetSdk = 36
        versionCode = 1
        versionName = "1"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

dependencies {
    implementation(project(":eelbert"))
}
