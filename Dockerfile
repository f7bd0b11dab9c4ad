# The daemon and its command line. `make image` builds it.
#
#   runtime   (default) bkvd and bkvctl; mount the PKCS#11 module of your HSM
#   softhsm   the same with a software token, for tests only

FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 make g++ \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json ./
# pkcs11js is compiled here, against the headers that come with the base image: nothing is downloaded for it.
# The secret is the build host's npm configuration, where it needs one; it stays in no layer.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required=false \
  npm_config_nodedir=/usr/local npm ci --no-audit --no-fund
COPY . .
# `files` in package.json says what a package holds; the image holds the same.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required=false \
  scripts/build.sh \
  && npm pack --silent --pack-destination /tmp \
  && mkdir /app \
  && tar -xzf /tmp/*.tgz -C /app --strip-components=1 \
  && npm prune --omit=dev --no-audit --no-fund --ignore-scripts \
  && rm -rf node_modules/pkcs11js/build/Release/obj.target \
  && mv node_modules /app/

FROM node:24-bookworm-slim AS assembled
COPY --from=build /app /app
# A running vault installs and compiles nothing.
RUN rm -rf /usr/local/lib/node_modules /usr/local/include/node /opt/yarn-* \
    /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
  && ln -s /app/dist/daemon/main.js /usr/local/bin/bkvd \
  && ln -s /app/dist/cli/main.js /usr/local/bin/bkvctl \
  && install -d -o 10001 -g 10001 -m 0700 /var/lib/bkvd

# One layer: what was removed is gone, and / is open to uid 10001 even where the base image keeps its own / for root.
FROM scratch AS runtime
COPY --from=assembled / /
LABEL org.opencontainers.image.title="bkvd" \
  org.opencontainers.image.description="HSM-based backup key vault" \
  org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# A number, not a name: Kubernetes checks runAsNonRoot by it.
USER 10001:10001
WORKDIR /var/lib/bkvd
# No entrypoint: `bkvd …` and `bkvctl …` are both commands. Health is asked by gRPC, so there is no HEALTHCHECK.
CMD ["bkvd"]

FROM runtime AS softhsm
USER root
RUN apt-get update \
  && apt-get install -y --no-install-recommends softhsm2 \
  && rm -rf /var/lib/apt/lists/* \
  && install -d -o 10001 -g 10001 -m 0700 /var/lib/bkvd/tokens \
  && printf 'directories.tokendir = /var/lib/bkvd/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' > /etc/bkvd-softhsm2.conf
ENV SOFTHSM2_CONF=/etc/bkvd-softhsm2.conf
USER 10001:10001

# Last, so that a build that names no target gives the image without a software token.
FROM runtime
