typedef int queue_stub; /* placeholder until the first real file of this folder is listed in meson.build */
