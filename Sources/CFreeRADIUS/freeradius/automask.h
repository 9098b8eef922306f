/* Debian's freeradius/autoconf.h includes this file, which libfreeradius-dev does not ship; it is empty there too. */
