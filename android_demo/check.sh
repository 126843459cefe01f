#!/usr/bin/env bash
# android_demo/check.sh [core] [app]: compiles the Kotlin sources with a pinned compiler, runs the core's tests, and
# compiles the app against the platform's published API and stubs of LiteRT. Fails if the app uses members that the lowest
# supported Android lacks.
#
# Requires Java 11 or newer, JUnit 4 and hamcrest (Debian's junit4), and npm to fetch the compiler once; for the app also a
# JDK, Python, and Debian's apt with its sources. Exit code: 77 if a tool is missing, 1 for failures. Fetched and compiled
# files are kept in android_demo/.check.
set -euo pipefail
cd "$(dirname "$0")"

KOTLIN=2.4.20
KOTLIN_SHA256=c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f
# Declarations of the API of every level.
LEVELS=9.0.0
LEVELS_SHA256=5063c94008386120951acff74a0070bf9498ca51241f128b19777124579afcd4
MIN_SDK=26
KEPT=$PWD/.check
JAVA_JARS=${JAVA_JARS:-/usr/share/java}
# Limits the compiler's memory.
export JAVA_OPTS=${JAVA_OPTS:--Xmx900m}

missing() {
    echo "android-check: $1" >&2
    exit 77
}

need_tools() {
    command -v java >/dev/null || missing "no java: apt-get install openjdk-17-jdk-headless"
    for jar in junit4 hamcrest; do
        [ -f "$JAVA_JARS/$jar.jar" ] || missing "no $JAVA_JARS/$jar.jar: apt-get install junit4, or set JAVA_JARS to its folder"
    done
    [ -d "$KEPT/kotlin-$KOTLIN" ] || fetch kotlin-compiler "$KOTLIN" "$KOTLIN_SHA256" "$KEPT/kotlin-$KOTLIN"
}

# fetch PACKAGE VERSION SHA256 FOLDER: fetches a package and checks its pinned sum.
fetch() {
    local name=$1 version=$2 sum=$3 folder=$4 file
    command -v npm >/dev/null || missing "no npm to fetch $name with: apt-get install npm"
    mkdir -p "$KEPT"
    fresh=$(mktemp -d "$KEPT/fetch.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    file=$(cd "$fresh" && npm pack --silent "$name@$version") || missing "npm could not fetch $name@$version: check the network"
    echo "$sum  $fresh/$file" | sha256sum --check --quiet ||
        { echo "android-check: $name@$version does not have the pinned checksum" >&2; exit 1; }
    tar -xzf "$fresh/$file" -C "$fresh"
    mv -T "$fresh/package" "$folder"
    rm -rf "$fresh"
}

# compile OUT CLASSPATH SOURCES... [-- OPTION...]: compiles unless sources and classpath are unchanged.
compile() {
    local out=$1 classpath=$2 sources=() state
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do sources+=("$1"); shift; done
    [ $# -eq 0 ] || shift
    state=$({ echo "$KOTLIN $classpath $*"; [ "$out" = "$KEPT/core" ] || cat "$KEPT/core.state"
        find "${sources[@]}" -type f | sort | xargs -d '\n' sha256sum; } | sha256sum)
    [ "$(cat "$out.state" 2>/dev/null)" != "$state" ] || return 0
    rm -rf "$out" "$out.state"
    nice bash "$KEPT/kotlin-$KOTLIN/bin/kotlinc" -no-reflect -jvm-target 1.8 -Werror -cp "$classpath" "$@" -d "$out" "${sources[@]}"
    echo "$state" >"$out.state"
}

compile_core() {
    ! grep -rn 'import android' core/src || { echo "android-check: the core must not import Android" >&2; exit 1; }
    compile "$KEPT/core" . core/src/main/kotlin
}

check_core() {
    local core=$KEPT/core tests=$KEPT/core-tests junit=$JAVA_JARS/junit4.jar:$JAVA_JARS/hamcrest.jar
    compile_core
    compile "$tests" "$core:$junit" core/src/test/kotlin -- "-Xfriend-paths=$core"
    nice java -ea -cp "$core:$tests:core/src/test/resources:$KEPT/kotlin-$KOTLIN/lib/kotlin-stdlib.jar:$junit" \
        org.junit.runner.JUnitCore $(cd core/src/test/kotlin && find . -name '*Test.kt' | sort | sed 's|^\./||; s|\.kt$||; s|/|.|g')
}

# AOSP's API list is in a Debian source package; uses the system's mirror.
fetch_platform() {
    local list=$KEPT/apt/sources.list.d lists=$KEPT/apt/lists options
    for tool in apt-get javap python3; do
        command -v $tool >/dev/null || missing "no $tool: the app is checked on Debian with openjdk-17-jdk-headless and python3"
    done
    rm -rf "$KEPT/apt"
    mkdir -p "$list" "$lists/partial" "$KEPT/apt/source"
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ ! -f "$file" ] || sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"$list/$(basename "$file" | sed 's/^sources.list$/own.list/')"
    done
    options=(-qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$list" -o "Dir::State::lists=$lists")
    apt-get "${options[@]}" update || missing "apt-get could not read the list of source packages"
    (cd "$KEPT/apt/source" && apt-get "${options[@]}" source --download-only android-platform-frameworks-base) >/dev/null ||
        missing "apt-get could not fetch android-platform-frameworks-base's source"
    tar -xJOf "$KEPT"/apt/source/*.orig.tar.xz --anchored api/current.txt >"$KEPT/current.txt"
    rm -rf "$KEPT/apt"
}

check_app() {
    local level=$KEPT/levels-$LEVELS/lib/android/android-platform-$MIN_SDK.d.ts permissions
    grep -q "minSdk = $MIN_SDK\$" app/build.gradle.kts || { echo "android-check: the app's minSdk is not $MIN_SDK" >&2; exit 1; }
    permissions=$(grep -o 'uses-permission[^>]*' app/src/main/AndroidManifest.xml)
    [ "$permissions" = 'uses-permission android:name="android.permission.CAMERA" /' ] ||
        { echo "android-check: the app may require only the camera permission, got: $permissions" >&2; exit 1; }
    [ -s "$KEPT/current.txt" ] || fetch_platform
    [ -d "$KEPT/levels-$LEVELS" ] || fetch @nativescript/types-android "$LEVELS" "$LEVELS_SHA256" "$KEPT/levels-$LEVELS"
    rm -rf "$KEPT/platform"
    python3 stubs/platform_api.py "$KEPT/current.txt" "$KEPT/platform"
    compile_core
    compile "$KEPT/app" "$KEPT/core" app/src/main/kotlin "$KEPT/platform" stubs/litert
    python3 stubs/api_level.py "$level" "$KEPT/app"
}

need_tools
for part in "${@:-core}"; do
    case $part in
        core) check_core ;;
        app) check_app ;;
        *) echo "android-check: expected core or app, got $part" >&2; exit 2 ;;
    esac
done
