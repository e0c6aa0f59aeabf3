#include "handover.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
  uint32_t ticket;
  struct handover left;
  struct entry *next;
};

/* The only state that all threads share. The addon is linked so that it is never unloaded, or this would be lost. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static uint32_t last_ticket;

uint32_t handover_leave(const struct handover *left) {
  struct entry *entry = malloc(sizeof *entry);
  if (entry == NULL) return 0;
  entry->left = *left;
  pthread_mutex_lock(&mutex);
  uint32_t ticket = ++last_ticket;
  entry->ticket = ticket;
  entry->next = entries;
  entries = entry;
  pthread_mutex_unlock(&mutex);
  return ticket;
}

bool handover_take(uint32_t ticket, struct handover *taken) {
  pthread_mutex_lock(&mutex);
  struct entry **link = &entries;
  while (*link != NULL && (*link)->ticket != ticket) link = &(*link)->next;
  struct entry *entry = *link;
  if (entry != NULL) *link = entry->next;
  pthread_mutex_unlock(&mutex);
  if (entry == NULL) return false;
  *taken = entry->left;
  free(entry);
  return true;
}
