/* Sends one router advertisement out of the link argv[1]: a default route for half an hour, no prefix (RFC 4861). */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  /* Receivers take it only from a neighbour: a hop limit of 255 cannot come through a router. */
  int hops = 255, link = (int)if_nametoindex(argv[1]);
  struct nd_router_advert message = {
      .nd_ra_hdr = {.icmp6_type = ND_ROUTER_ADVERT, .icmp6_dataun.icmp6_un_data8 = {64, 0}},
  };
  message.nd_ra_router_lifetime = htons(1800);
  struct sockaddr_in6 nodes = {.sin6_family = AF_INET6, .sin6_scope_id = (unsigned)link};
  inet_pton(AF_INET6, "ff02::1", &nodes.sin6_addr);
  if (fd < 0 || link == 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) != 0 ||
      setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &link, sizeof link) != 0 ||
      sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&nodes, sizeof nodes) < 0) {
    perror("router advertisement");
    return 1;
  }
  return 0;
}
