#!/usr/bin/env bash
# Compiles the Kotlin sources with a pinned compiler and runs the core's tests on this machine's Java.
#
# Tools: Java 11 or newer, JUnit 4 and hamcrest as Debian packs them (junit4), npm to fetch the compiler once. Exits with
# 77 when one of them is missing, with 1 when the sources do not compile or a test fails. What is fetched and compiled is
# kept in android_demo/.check.
set -euo pipefail
cd "$(dirname "$0")"

KOTLIN=2.4.20
KOTLIN_SHA256=c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f
KEPT=$PWD/.check
JAVA_JARS=${JAVA_JARS:-/usr/share/java}
# The compiler takes as much memory as it gets.
export JAVA_OPTS=${JAVA_OPTS:--Xmx900m}

missing() {
    echo "android-check: $1" >&2
    exit 77
}

need_tools() {
    command -v java >/dev/null || missing "no java: apt-get install openjdk-17-jdk-headless"
    for jar in junit4 hamcrest; do
        [ -f "$JAVA_JARS/$jar.jar" ] || missing "no $JAVA_JARS/$jar.jar: apt-get install junit4, or say where it is with JAVA_JARS"
    done
    [ -d "$KEPT/kotlin-$KOTLIN" ] || fetch_kotlin
}

fetch_kotlin() {
    command -v npm >/dev/null || missing "no npm to fetch the Kotlin compiler with: apt-get install npm"
    mkdir -p "$KEPT"
    fresh=$(mktemp -d "$KEPT/fetch.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    (cd "$fresh" && npm pack --silent "kotlin-compiler@$KOTLIN") >/dev/null ||
        missing "npm could not fetch kotlin-compiler@$KOTLIN: is there a network?"
    echo "$KOTLIN_SHA256  $fresh/kotlin-compiler-$KOTLIN.tgz" | sha256sum --check --quiet ||
        { echo "android-check: kotlin-compiler@$KOTLIN is not the file that was pinned" >&2; exit 1; }
    tar -xzf "$fresh/kotlin-compiler-$KOTLIN.tgz" -C "$fresh"
    mv -T "$fresh/package" "$KEPT/kotlin-$KOTLIN"
}

# compile OUT CLASSPATH SOURCES [OPTION...]: nothing is done where neither sources nor classpath have changed.
compile() {
    local out=$1 classpath=$2 sources=$3 state
    shift 3
    state=$({ echo "$KOTLIN $classpath $*"; cat $(tr : ' ' <<<"$classpath" | xargs -n1 printf '%s.state\n') 2>/dev/null
        find "$sources" -name '*.kt' | sort | xargs sha256sum; } | sha256sum)
    [ "$(cat "$out.state" 2>/dev/null)" != "$state" ] || return 0
    rm -rf "$out"
    nice bash "$KEPT/kotlin-$KOTLIN/bin/kotlinc" -no-reflect -jvm-target 1.8 -Werror -cp "$classpath" "$@" -d "$out" "$sources"
    echo "$state" >"$out.state"
}

check_core() {
    local core=$KEPT/core tests=$KEPT/core-tests junit=$JAVA_JARS/junit4.jar:$JAVA_JARS/hamcrest.jar
    compile "$core" . core/src/main/kotlin
    compile "$tests" "$core:$junit" core/src/test/kotlin "-Xfriend-paths=$core"
    nice java -ea -cp "$core:$tests:core/src/test/resources:$KEPT/kotlin-$KOTLIN/lib/kotlin-stdlib.jar:$junit" \
        org.junit.runner.JUnitCore $(cd core/src/test/kotlin && find . -name '*Test.kt' | sort | sed 's|^\./||; s|\.kt$||; s|/|.|g')
}

need_tools
check_core
