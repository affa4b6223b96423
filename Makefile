# SPDX-License-Identifier: ISC
#
# The front door only: meson builds, tests/run tests.
#
#   make            build          make test     all tests, after installing what they need
#   make run        try it         make asan     all tests under ASan and UBSan
#   make install    DESTDIR PREFIX make lint     the style checks alone
#   make bench      ARGS=--quick   make clang    build with clang, warnings are errors
#   make fuzz       SECONDS=60     make soak     the long form of the crash tests
#   make valgrind   unit tests     make analyse  clang-tidy and cppcheck
#   make format     what clang-format would lay out in another way
#   make clean

PREFIX  ?= /usr/local
SECONDS ?= 60
RELEASE := build/release
TEST    := build/test
ASAN    := build/asan
BENCH   := build/speed
CLANG   := build/clang
FUZZ    := build/fuzz
VALGRIND := build/valgrind

FAST     := --buildtype=release -Ddebug=true
SANITIZE := -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true
STRICT   := -Dtests=enabled --werror

# What a command says is shown only if it fails.
quiet = said=$$($(1) 2>&1) || { echo "$$said"; exit 1; }

.PHONY: all run test asan lint clang bench fuzz valgrind analyse format soak install clean prepare prepare-test prepare-fuzz prepare-analyse
.NOTPARALLEL:

all: $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) --quiet

run: prepare all
	@etc/try $(RELEASE)/cmd/postern

test: prepare-test $(TEST)/build.ninja
	@tests/run $(TEST)

asan: prepare-test $(ASAN)/build.ninja
	@tests/run $(ASAN)

lint: prepare-test $(TEST)/build.ninja
	@tests/run $(TEST) lint

clang: prepare-test $(CLANG)/build.ninja
	@ninja -C $(CLANG) --quiet

bench: prepare-test $(BENCH)/build.ninja
	@ninja -C $(BENCH) --quiet
	@tests/peers
	@tests/bench/run $(BENCH) $(ARGS)

fuzz: prepare-fuzz $(FUZZ)/build.ninja
	@ninja -C $(FUZZ) --quiet
	@tests/fuzz/run $(FUZZ) $(SECONDS)

valgrind: prepare-analyse $(VALGRIND)/build.ninja
	@tests/valgrind $(VALGRIND) $(ARGS)

analyse: prepare-analyse $(CLANG)/build.ninja
	@ninja -C $(CLANG) --quiet
	@tests/analyse $(CLANG)

format: prepare-test
	@tests/format $(ARGS)

soak: prepare-test $(BENCH)/build.ninja
	@ninja -C $(BENCH) --quiet
	@tests/crash/soak $(BENCH) $(ARGS)

install: all
	meson configure $(RELEASE) --prefix=$(PREFIX)
	meson install -C $(RELEASE) $(if $(DESTDIR),--destdir=$(abspath $(DESTDIR)))

clean:
	rm -rf build

prepare:
	@etc/prepare run

prepare-test:
	@etc/prepare test

prepare-fuzz:
	@etc/prepare fuzz

prepare-analyse:
	@etc/prepare analyse

$(RELEASE)/build.ninja:
	@$(call quiet,meson setup $(RELEASE) $(FAST) -Dtests=disabled --prefix=$(PREFIX))

$(BENCH)/build.ninja:
	@$(call quiet,meson setup $(BENCH) $(FAST) -Dtests=enabled)

$(TEST)/build.ninja:
	@$(call quiet,meson setup $(TEST) $(STRICT))

$(ASAN)/build.ninja:
	@$(call quiet,meson setup $(ASAN) $(STRICT) $(SANITIZE))

$(CLANG)/build.ninja:
	@$(call quiet,CC=clang-14 meson setup $(CLANG) $(STRICT))

$(VALGRIND)/build.ninja:
	@$(call quiet,meson setup $(VALGRIND) $(STRICT) -Doptimization=1 -Ddebug=true)

$(FUZZ)/build.ninja:
	@$(call quiet,CC=clang-14 meson setup $(FUZZ) $(STRICT) $(SANITIZE) -Dfuzz=true)
